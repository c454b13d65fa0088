"""What is computed together, where it lies, in which phase: from a program to groups of values. Imports llvm."""
