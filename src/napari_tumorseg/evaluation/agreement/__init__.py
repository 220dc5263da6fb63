"""How well two measurements of one quantity agree."""
