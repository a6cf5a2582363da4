"""HTTP: a thin face of a running controller. Nothing is decided here."""
