"""The ground floor: types that every other floor shares; numpy and the standard library only."""
