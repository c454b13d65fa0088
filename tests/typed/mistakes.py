"""What a type checker must find: each line that says so is wrong. Checked in tests/project/test_types.py, never run."""

import pellucid as pel
from pellucid import nn, optim

nn.Dense("8")  # wrong
nn.Dense(8, unit=3)  # wrong
optim.Adam(rate=0.1)  # wrong
optim.Adam("0.1")  # wrong
pel.Program(3)  # wrong
pel.sklearn.MLPClasifier()  # wrong
pel.neurons.fit_transform  # wrong  # noqa: B018
pel.nothing  # wrong  # noqa: B018
