"""The errors of the package, all of them `PellucidError`: one class for each kind of mistake. Imports nothing.

| error | what is wrong | also a |
|---|---|---|
| `ArgumentError` | an argument by itself: a number, a choice, a flag, a name | ValueError |
| `GraphError` | what is put together: shapes, dtypes, kinds or layers that do not fit each other | ValueError |
| `DataError` | data: a file that cannot be read, samples and targets that do not fit the net | ValueError |
| `DivergedError` | a training: its loss or a weight became NaN or infinite | ArithmeticError |

None of the first three is another of them, so that ``except`` names one kind; ``except ValueError`` has all three.
"""


class PellucidError(Exception):
    """Any error that Pellucid raises by itself.

    >>> import pellucid as pel
    >>> try:
    ...     pel.nn.Dense(0)
    ... except pel.PellucidError as error:
    ...     print(error)
    Dense: units must be a whole number >= 1, got 0
    """


class ArgumentError(PellucidError, ValueError):
    """A number, choice, flag or name that an argument cannot be; the message names the argument and what it may be.

    >>> from pellucid import optim
    >>> optim.SGD(-0.1)
    Traceback (most recent call last):
        ...
    pellucid.errors.ArgumentError: SGD: learning_rate must be a number > 0, got -0.1
    """


class GraphError(PellucidError, ValueError):
    """A graph that cannot be built: shapes, dtypes, kinds or layers that do not fit each other."""


class DataError(PellucidError, ValueError):
    """Data that cannot be read or used; the message names the file, what was found and what is expected."""
