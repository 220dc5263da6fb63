"""One function per use case: a frozen request in, a result out."""
