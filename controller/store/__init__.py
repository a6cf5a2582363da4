"""One truth: state, journal, outbox and observations, behind one interface (`base.Store`)."""

from controller.store.open import open_store

__all__ = ["open_store"]
