"""Studies: protocols, allocation, the store of tasks and results, audit, packages. Nothing here reads images or opens windows."""
