"""The world as JSON, in the shapes that Discord's API v10 sends."""

from __future__ import annotations

from typing import Any

from tests.loopback.discord.snowflakes import timestamp
from tests.loopback.discord.world import (
    EVERYONE,
    FORUMS,
    ROLE_MENTION,
    Channel,
    ChannelType,
    Guild,
    Message,
    Permission,
    Role,
    User,
)

Payload = dict[str, Any]

ALL_PERMISSIONS = str((1 << 50) - 1 & ~Permission.ADMINISTRATOR)
"""All but the one that no overwrite takes away."""
NEEDS_TAG = 1 << 4
"""Channel flag: a post in this forum has a tag."""
HAS_THREAD = 1 << 5
"""Message flag: a thread was started from it."""
JOINED = "2026-01-01T00:00:00.000000+00:00"
PRIVILEGED_FIELDS = ("content", "attachments", "embeds", "components")
"""What a bot without the Message Content intent gets empty."""


def user(one: User) -> Payload:
    return {
        "id": str(one.id),
        "username": one.name.lower(),
        "global_name": None if one.bot else one.name,
        "discriminator": "0000" if one.bot else "0",
        "avatar": None,
        "avatar_decoration_data": None,
        "bot": one.bot,
        "public_flags": 0,
    }


def member(one: User, *, with_user: bool = False) -> Payload:
    body: Payload = {
        "roles": [str(role.id) for role in one.roles],
        "joined_at": JOINED,
        "premium_since": None,
        "nick": None,
        "avatar": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": 0,
        "communication_disabled_until": None,
    }
    return {**body, "user": user(one)} if with_user else body


def role(one: Role) -> Payload:
    body: Payload = {
        "id": str(one.id),
        "name": one.name,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "icon": None,
        "unicode_emoji": None,
        "position": 0,
        "permissions": ALL_PERMISSIONS,
        "managed": one.managed_by is not None,
        "mentionable": False,
        "flags": 0,
    }
    return {**body, "tags": {"bot_id": str(one.managed_by.id)}} if one.managed_by is not None else body


def thread_member(thread: Channel, user_id: int) -> Payload:
    return {"id": str(thread.id), "user_id": str(user_id), "join_timestamp": JOINED, "flags": 1}


def channel(one: Channel, *, me: int) -> Payload:
    last = max(one.messages, default=None)
    body: Payload = {
        "id": str(one.id),
        "type": int(one.type),
        "flags": 0,
        "last_message_id": None if last is None else str(last),
    }
    if one.guild is None:
        return {**body, "recipients": [] if one.recipient is None else [user(one.recipient)]}
    body |= {"guild_id": str(one.guild.id), "name": one.name, "rate_limit_per_user": 0, "nsfw": False}
    if one.parent is not None and one.owner is not None:
        body |= {
            "parent_id": str(one.parent.id),
            "owner_id": str(one.owner.id),
            "message_count": len(one.messages),
            "member_count": len(one.members),
            "total_message_sent": len(one.messages),
            "applied_tags": list(map(str, one.tags)),
            "thread_metadata": {
                "archived": one.archived,
                "archive_timestamp": timestamp(one.id),
                "auto_archive_duration": 1440,
                "locked": one.locked,
                "create_timestamp": timestamp(one.id),
            },
        }
        return {**body, "member": thread_member(one, me)} if me in one.members else body
    overwrites = [{"id": str(me), "type": 1, "allow": "0", "deny": str(one.denied_bits)}] if one.denied else []
    body |= {"parent_id": None, "position": 0, "permission_overwrites": overwrites, "topic": None}
    if one.type in (ChannelType.VOICE, ChannelType.STAGE):
        body |= {"bitrate": 64000, "user_limit": 0, "rtc_region": None}
    if one.type in FORUMS:
        plain = {"moderated": False, "emoji_id": None, "emoji_name": None}
        tags = [{"id": str(tag), "name": name, **plain} for tag, name in one.tags.items()]
        body |= {"flags": NEEDS_TAG if one.needs_tag else 0}
        body |= {"available_tags": tags, "default_reaction_emoji": None, "default_sort_order": None}
    return body


def partial_guild(one: Guild, *, me: User) -> Payload:
    """A server as the list of one's own servers has it."""
    name = {"id": str(one.id), "name": one.name, "icon": None, "banner": None}
    return {**name, "owner": one.owner is me, "permissions": ALL_PERMISSIONS, "features": []}


def guild(one: Guild, *, me: User) -> Payload:
    return {
        "id": str(one.id),
        "name": one.name,
        "icon": None,
        "splash": None,
        "discovery_splash": None,
        "banner": None,
        "description": None,
        "owner_id": str(one.owner.id),
        "region": "deprecated",
        "afk_channel_id": None,
        "afk_timeout": 300,
        "verification_level": 0,
        "default_message_notifications": 1,
        "explicit_content_filter": 0,
        "roles": [role(each) for each in one.roles],
        "emojis": [],
        "stickers": [],
        "features": [],
        "mfa_level": 0,
        "nsfw_level": 0,
        "application_id": None,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "rules_channel_id": None,
        "public_updates_channel_id": None,
        "safety_alerts_channel_id": None,
        "max_members": 500000,
        "max_presences": None,
        "vanity_url_code": None,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "premium_progress_bar_enabled": False,
        "preferred_locale": "en-US",
        "incidents_data": None,
        "joined_at": JOINED,
        "large": False,
        "unavailable": False,
        "member_count": 2,
        "voice_states": [],
        "members": [member(me, with_user=True)],
        "channels": [channel(each, me=me.id) for each in one.channels if not each.is_thread],
        "threads": [channel(each, me=me.id) for each in one.threads if not each.archived],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def message(one: Message, people: dict[int, User], *, me: int, quoted: bool = True) -> Payload:
    """``one`` as ``MESSAGE_CREATE`` and the REST API send it; ``quoted`` puts in the message that it replies to."""
    in_guild = one.channel.guild is not None
    mentions = [people[each] for each in one.mentioned if each in people]
    body: Payload = {
        "id": str(one.id),
        "channel_id": str(one.channel.id),
        "type": one.type,
        "author": user(one.author),
        "content": one.content,
        "timestamp": timestamp(one.id),
        "edited_timestamp": None if one.edited is None else timestamp(one.edited),
        "tts": False,
        "mention_everyone": bool(EVERYONE.search(one.content)),
        "mentions": [{**user(each), **({"member": member(each)} if in_guild else {})} for each in mentions],
        "mention_roles": ROLE_MENTION.findall(one.content) if in_guild else [],
        "attachments": one.attachments,
        "embeds": one.embeds,
        "components": one.components,
        "pinned": False,
        "flags": one.flags,
        "reactions": [
            {
                "emoji": _emoji(emoji),
                "count": len(users),
                "count_details": {"burst": 0, "normal": len(users)},
                "burst_colors": [],
                "me": me in users,
                "me_burst": False,
            }
            for emoji, users in one.reactions.items()
        ],
    }
    if one.channel.guild is not None:
        body |= {"guild_id": str(one.channel.guild.id), "member": member(one.author)}
    if one.nonce is not None:
        body["nonce"] = one.nonce
    if one.thread is not None:
        body |= {"thread": channel(one.thread, me=me), "flags": one.flags | HAS_THREAD}
    if one.webhook_id is not None:
        body["webhook_id"] = str(one.webhook_id)
        body.pop("member", None)
    if one.reply_to is not None:
        body["message_reference"] = {
            "type": 0,
            "message_id": str(one.reply_to.id),
            "channel_id": str(one.reply_to.channel.id),
            **({"guild_id": body["guild_id"]} if in_guild else {}),
        }
        if quoted:
            there = one.reply_to.id in one.reply_to.channel.messages
            body["referenced_message"] = message(one.reply_to, people, me=me, quoted=False) if there else None
    return body


def _emoji(written: str) -> Payload:
    """An emoji as the paths of the API write it."""
    name, _, custom = written.partition(":")
    return {"id": custom or None, "name": name}


def from_history(body: Payload) -> Payload:
    """A message as the REST API sends it: it says less of where it is and who wrote it than the gateway does."""
    return {name: value for name, value in body.items() if name not in ("guild_id", "member")}


def without_content(body: Payload) -> Payload:
    """A message as a bot gets it that has no Message Content intent and is not meant by it."""
    blank: Payload = {name: "" if isinstance(body[name], str) else [] for name in PRIVILEGED_FIELDS}
    return {**body, **blank}


def reaction(one: Message, by: User, emoji: str, *, added: bool) -> Payload:
    """A reaction to ``one``, as MESSAGE_REACTION_ADD and _REMOVE tell it."""
    body: Payload = {
        "user_id": str(by.id),
        "channel_id": str(one.channel.id),
        "message_id": str(one.id),
        "emoji": _emoji(emoji),
        "burst": False,
        "type": 0,
    }
    if one.channel.guild is not None:
        body["guild_id"] = str(one.channel.guild.id)
        if added:
            body["member"] = member(by, with_user=True)
    return {**body, "message_author_id": str(one.author.id)} if added else body
