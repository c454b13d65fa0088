"""One kernel a file: what a group of values becomes. Imports codegen and what is below it."""
