"""Code that is too long for one post: there it is cut in pieces, and as a file it can be taken whole."""

from __future__ import annotations

from dspy_session_chat.markup.fences import Code, code_blocks
from dspy_session_chat.markup.graphemes import Length
from dspy_session_chat.reply import ReplyFile

ENDINGS = {
    "bash": "sh",
    "c++": "cpp",
    "c#": "cs",
    "csharp": "cs",
    "golang": "go",
    "javascript": "js",
    "kotlin": "kt",
    "markdown": "md",
    "powershell": "ps1",
    "python": "py",
    "python3": "py",
    "ruby": "rb",
    "rust": "rs",
    "shell": "sh",
    "typescript": "ts",
    "yml": "yaml",
    "zsh": "sh",
}
"""How files end whose language is called something else."""

_AS_CALLED = frozenset(
    {
        *("c", "cpp", "cs", "css", "csv", "diff", "go", "html", "ini", "java", "js", "json", "jsx", "kt", "lua", "md"),
        *("php", "pl", "py", "r", "rb", "rs", "scala", "sh", "sql", "svg", "swift", "tex", "toml", "ts", "tsx", "xml"),
        "yaml",
    }
)
_OTHERS = "txt"


def as_files(text: str, limit: int, length: Length = len) -> list[ReplyFile]:
    """The code blocks of ``text`` that are too long for one post, each as a file.

    Args:
        text: Markdown.
        limit: The most that a post may measure.
        length: How a post is measured.
    """
    long = [code for code in code_blocks(text) if length(text[code.start : code.end]) > limit]
    return [
        ReplyFile(_name(code, number if len(long) > 1 else 0), "text/plain", _inside(text, code).encode())
        for number, code in enumerate(long, 1)
    ]


def _inside(text: str, code: Code) -> str:
    """The code itself, without the quote marks that it stands behind."""
    quote, inside = code.fence.quote, text[code.inside : code.outside]
    if not quote:
        return inside
    return "\n".join(line.removeprefix(quote).removeprefix(quote.rstrip()) for line in inside.split("\n"))


def _name(code: Code, number: int) -> str:
    language = code.fence.language.lower()
    ending = ENDINGS.get(language) or (language if language in _AS_CALLED else _OTHERS)
    return f"code-{number}.{ending}" if number else f"code.{ending}"
