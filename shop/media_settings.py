"""Settings of uploaded pictures, beside those of `shop.settings`."""

from __future__ import annotations

from shop.setting_kinds import MediaAddress, Setting

MEDIA_SETTINGS: tuple[Setting, ...] = (
    Setting(
        "MEDIA_FOLDER",
        "var/media",
        "Folder of uploaded pictures; a relative path starts at the project folder. Web, worker and clock of all "
        "machines share it, as a volume or a mounted object storage.",
    ),
    Setting(
        "MEDIA_URL",
        "/media/",
        "Address of uploaded pictures. The shop serves them at `/media/`; the https address of a CDN or an object "
        "storage that has the same files is possible, and becomes part of the content-security policy.",
        MediaAddress,
    ),
)
