"""Effects out: one file each, one interface (`base.Publisher`)."""
