"""Who gets what: buckets, pins, what is published, which state may follow which. Pure."""
