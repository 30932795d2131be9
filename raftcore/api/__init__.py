"""How a driver hands in what happened and takes out what is to be done."""
