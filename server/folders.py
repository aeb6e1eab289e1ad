"""Where the settings say that files are."""

from __future__ import annotations

from pathlib import Path

from server.settings import Settings
from store.media import Media
from store.signing import KeyFile


def media_of(settings: Settings) -> Media:
    """The folder of pictures."""
    folder = Path(settings.media_dir) if settings.media_dir else settings.data_dir / "media"
    return Media(folder, settings.photo_bytes, settings.photo_pixels)


def key_file(settings: Settings) -> KeyFile:
    """The key that signs exports."""
    return KeyFile(settings.data_dir / "signing_key.pem")
