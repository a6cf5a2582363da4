"""One truth: state, journal, outbox and observations, behind one interface (`base.Store`)."""
