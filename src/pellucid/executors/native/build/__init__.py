"""From a plan to modules of IR: a nest for each group, and the function that runs them. Imports kernels and below."""
