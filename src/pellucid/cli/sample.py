"""``pellucid sample``: what a model of a text writes. Imports click at the top."""

from __future__ import annotations

import click

from . import completion, options


@click.command("sample", short_help="Let a model of a text write.")
@click.argument("model_file", metavar="MODEL", shell_complete=completion.FILE)
@click.option("--prompt", metavar="TEXT", help="What the text begins with. Default: a new line.")
@click.option("--length", type=click.IntRange(min=1), default=500, show_default=True, help="Characters to write.")
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    default=0.8,
    show_default=True,
    help="0 writes the likeliest character each time, 1 draws as the model says, more is wilder.",
)
@click.option("--top-k", type=click.IntRange(min=1), metavar="K", help="Draw from the K likeliest characters alone.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draws.")
@options.executor
@options.threads
@options.debug
def command(model_file, prompt, length, temperature, top_k, seed, executor, threads) -> None:
    """Write a text, a character at a time, with a model that ``pellucid train FILE.txt`` made.

    \b
    Examples:
      pellucid sample shakespeare.pel --prompt "ROMEO:" --length 1000
      pellucid sample shakespeare.pel --temperature 0.5 --seed 3
    """
    from itertools import islice

    from .. import DataError, decode
    from .notes import load
    from .text import encoded, vocabulary_of

    model = load(model_file, executor=executor, threads=threads)
    characters = vocabulary_of(model, model_file)
    if prompt == "":
        raise DataError("--prompt is empty; give at least one character, or leave it out")
    if prompt is None:
        tokens = encoded(characters, "\n" if "\n" in characters.tokens else characters.tokens[0], "the text")
    else:
        tokens = encoded(characters, prompt, "--prompt")
        click.echo(prompt, nl=False)
    drawn = decode.draws(model.stepper(), tokens, temperature=temperature, top_k=top_k, seed=seed)
    for new in islice(drawn, length):
        click.echo(characters.decode(new), nl=False)
    click.echo()
