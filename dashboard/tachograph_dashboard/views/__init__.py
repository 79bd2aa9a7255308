"""What the pages say, as plain data: pure functions from rows to what a component draws."""
