"""Translations: extraction of the sentences from the code, and the check of the catalogues."""
