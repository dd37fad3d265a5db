"""Groups of commands: listed without loading any, with errors in a sentence."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Listed", "Told"]


class Listed(click.Group):
    """A group that imports a command when it is used, not when it is listed."""

    words: ClassVar[Mapping[str, str]] = {}  # command -> what `--help` says of it

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's)
        """Return the names of the commands."""
        return list(self.words)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say which command may have been meant."""
        if args and args[0] not in self.words and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.words, 1)
            hint = f"did you mean '{near[0]}'?" if near else "--help lists them all"
            ctx.fail(f"there is no command '{args[0]}'; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 (click's)
        formatter: click.HelpFormatter,
    ) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.words.items()))


class Told(click.Group):
    """A group whose errors are a sentence and an exit code."""

    codes: ClassVar[Mapping[type[Exception], int]] = {}  # the first that fits counts

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Exception as exc:
            fits = (code for kind, code in self.codes.items() if isinstance(exc, kind))
            code = next(fits, None)
            if code is None:
                raise
            if isinstance(exc, BrokenPipeError):
                sys.stderr.close()  # nobody reads on; Python would say so at its end
            else:
                words = self.sentence(exc)
                verb = ctx.invoked_subcommand or ""
                click.echo(f"pybridge {self.name} {verb}: {words}", err=True)
            sys.exit(code)

    def sentence(self, exc: Exception) -> str:
        """Return what is said of an error."""
        return str(exc)
