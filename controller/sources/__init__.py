"""Measurements in: one file each, one interface (`base.Source`)."""
