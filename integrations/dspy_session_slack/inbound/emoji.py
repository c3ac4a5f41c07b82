"""Emoji by Slack's names for them: reactions come as ``"+1"``, every other platform's as ``"👍"``."""

from __future__ import annotations

from collections.abc import Mapping

_EMOJI: Mapping[str, str] = {
    "+1": "👍",
    "-1": "👎",
    "100": "💯",
    "angry": "😠",
    "bug": "🐛",
    "bulb": "💡",
    "clap": "👏",
    "confused": "😕",
    "cry": "😢",
    "exclamation": "❗",
    "eyes": "👀",
    "fire": "🔥",
    "grinning": "😀",
    "hankey": "💩",
    "heart": "❤️",
    "heart_eyes": "😍",
    "heavy_check_mark": "✔️",
    "heavy_exclamation_mark": "❗",
    "hourglass": "⌛",
    "joy": "😂",
    "laughing": "😆",
    "memo": "📝",
    "ok_hand": "👌",
    "pencil": "📝",
    "poop": "💩",
    "pray": "🙏",
    "question": "❓",
    "rage": "😡",
    "raised_hands": "🙌",
    "repeat": "🔁",
    "rocket": "🚀",
    "rolling_on_the_floor_laughing": "🤣",
    "satisfied": "😆",
    "slightly_frowning_face": "🙁",
    "slightly_smiling_face": "🙂",
    "smile": "😄",
    "smiley": "😃",
    "sob": "😭",
    "star": "⭐",
    "tada": "🎉",
    "thinking_face": "🤔",
    "thumbsdown": "👎",
    "thumbsup": "👍",
    "warning": "⚠️",
    "wastebasket": "🗑️",
    "wave": "👋",
    "white_check_mark": "✅",
    "x": "❌",
}
"""The ones that people answer an answer with; the full list of Slack's has four thousand names."""


def emoji_of(name: str) -> str:
    """The emoji of that name, without skin tone; the name itself for one that we do not know or a workspace made.

    >>> emoji_of("thumbsup::skin-tone-2")
    '👍'
    >>> emoji_of("party_parrot")
    'party_parrot'
    """
    name = name.partition("::")[0]
    return _EMOJI.get(name, name)
