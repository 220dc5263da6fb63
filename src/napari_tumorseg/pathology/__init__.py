"""Stained tissue under the microscope: colours, tissue, and what is measured in them."""
