"""How well raters agree: in categories, in masks, and what they agree on."""
