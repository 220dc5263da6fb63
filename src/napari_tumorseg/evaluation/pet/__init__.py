"""Quantities of PET: uptake, metabolic volume and spread of the lesions of a mask."""
