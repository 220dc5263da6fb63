"""Tools that change a mask: from what is there and what the user pointed at to the new labels of a box."""
