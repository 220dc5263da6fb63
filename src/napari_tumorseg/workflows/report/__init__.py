"""Results as plots, tables and one page that can be handed on."""
