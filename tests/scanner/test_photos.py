"""What is kept of a sender's photo, and what a sender is told whose photo cannot be taken."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from structlog.testing import capture_logs

from relay.domain.letters import Photo
from relay.domain.photos import LONGEST_SIDE, UPLOAD_BYTES, KeptPhoto, PhotoRefusedError
from relay.domain.ports import Photos
from scanner import intake, photos
from scanner.limits import Limits, Reason
from scanner.photos import EMPTY, KEPT_BYTES, LIMITS, NOT_NOW, SENTENCES, PhotoDecoder
from tests.scanner.sheets import SAMPLES

ORIENTATION = 0x0112
RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 160, 40), (30, 40, 220), (255, 255, 255)
MALFORMED = SAMPLES / "malformed"


def file_of(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """A picture file."""
    written = BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def halves(width: int = 300, height: int = 200) -> Image.Image:
    """A picture that is red above and blue below."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (0, height // 2, width, height))
    return image


def seen(kept: KeptPhoto) -> Image.Image:
    """The picture that is kept."""
    return Image.open(BytesIO(kept.jpeg))


def colours(kept: KeptPhoto, *places: tuple[float, float]) -> list[tuple[int, ...]]:
    """The colours at places of the kept picture, given as parts of its width and height, each to the nearest named."""
    picture = seen(kept)
    found = [np.array(picture.getpixel((int(x * picture.width), int(y * picture.height)))) for x, y in places]
    named = np.array([RED, GREEN, BLUE, WHITE])
    return [tuple(named[np.abs(named - one).sum(axis=1).argmin()].tolist()) for one in found]


async def refusal(content: bytes) -> str:
    """What the sender of this file is told."""
    with pytest.raises(PhotoRefusedError) as refused:
        await PhotoDecoder().keep(content)
    return str(refused.value)


def sample(name: str) -> bytes:
    """The bytes of a sample, or a skipped test."""
    path = MALFORMED / name
    if not path.is_file():
        pytest.skip(f"the sample is not there: {path}")
    return path.read_bytes()


async def test_large_photo_is_kept_at_the_longest_side() -> None:
    kept = await PhotoDecoder().keep(file_of(halves(4000, 3000)))
    picture = seen(kept)
    assert kept.about == Photo(width=1600, height=1200, size=len(kept.jpeg))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (LONGEST_SIDE, 1200))
    assert colours(kept, (0.5, 0.2), (0.5, 0.8)) == [RED, BLUE]


async def test_small_photo_is_not_enlarged() -> None:
    assert (await PhotoDecoder().keep(file_of(halves(90, 60)))).about.width == 90


async def test_panorama_keeps_its_shape() -> None:
    kept = await PhotoDecoder().keep(file_of(halves(9000, 1500)))
    assert (kept.about.width, kept.about.height) == (1600, 267)


async def test_line_of_one_pixel_is_kept() -> None:
    kept = await PhotoDecoder().keep(file_of(halves(30_000, 1), "PNG"))
    assert (kept.about.width, kept.about.height) == (1600, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_photo_of_each_kind_is_kept(kind: str) -> None:
    kept = await PhotoDecoder().keep(file_of(halves(), kind))
    assert (kept.about.width, kept.about.height) == (300, 200)
    assert colours(kept, (0.5, 0.2), (0.5, 0.8)) == [RED, BLUE]


@pytest.mark.parametrize(("mode", "shade"), [("1", 255), ("L", 200), ("LA", 200), ("CMYK", 200), ("I;16", 200)])
async def test_photo_in_any_kind_of_pixels_is_kept_in_rgb(mode: str, shade: int) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((200, 300), 200 * 256, np.uint16))
    else:
        image = Image.new("RGB", (300, 200), (200, 200, 200)).convert(mode, dither=Image.Dither.NONE)
    kept = await PhotoDecoder().keep(file_of(image, "JPEG" if mode == "CMYK" else "PNG"))
    assert (seen(kept).mode, np.asarray(seen(kept)).mean().round()) == ("RGB", shade)


@pytest.mark.parametrize(
    ("orientation", "places"),
    [
        (1, [(0.5, 0.2), (0.5, 0.8)]),
        (3, [(0.5, 0.8), (0.5, 0.2)]),
        (6, [(0.8, 0.5), (0.2, 0.5)]),
        (8, [(0.2, 0.5), (0.8, 0.5)]),
    ],
)
async def test_photo_turned_by_its_exif_is_kept_upright(orientation: int, places: list[tuple[float, float]]) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    kept = await PhotoDecoder().keep(file_of(halves(), exif=exif))
    assert (kept.about.width, kept.about.height) == ((300, 200) if orientation in {1, 3} else (200, 300))
    assert colours(kept, *places) == [RED, BLUE]


async def test_photo_on_nothing_is_kept_on_white() -> None:
    image = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    image.paste((*GREEN, 255), (0, 0, 150, 200))
    kept = await PhotoDecoder().keep(file_of(image, "PNG"))
    assert colours(kept, (0.2, 0.5), (0.8, 0.5)) == [GREEN, WHITE]


async def test_palette_with_a_transparent_colour_is_kept_on_white() -> None:
    image = Image.new("P", (300, 200), 1)
    image.putpalette([*RED, *BLUE])
    image.paste(0, (0, 0, 150, 200))
    kept = await PhotoDecoder().keep(file_of(image, "PNG", transparency=1))
    assert colours(kept, (0.2, 0.5), (0.8, 0.5)) == [RED, WHITE]


async def test_only_the_first_picture_of_a_moving_one_is_kept() -> None:
    frames = [Image.new("RGB", (60, 40), colour) for colour in (GREEN, RED, BLUE)]
    for kind in ("WEBP", "PNG"):
        kept = await PhotoDecoder().keep(file_of(frames[0], kind, save_all=True, append_images=frames[1:]))
        assert (kind, colours(kept, (0.5, 0.5))) == (kind, [GREEN])


async def test_colours_are_those_of_the_profile() -> None:
    screen = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = screen.replace(b"rXYZ", b"?").replace(b"bXYZ", b"rXYZ").replace(b"?", b"bXYZ")
    assert swapped != screen
    red = Image.new("RGB", (60, 40), RED)
    kept = [await PhotoDecoder().keep(file_of(red, icc_profile=profile)) for profile in (screen, swapped, b"nonsense")]
    assert [colours(one, (0.5, 0.5)) for one in kept] == [[RED], [BLUE], [RED]]


async def test_nothing_but_pixels_is_kept() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Invented Phones"
    exif.get_ifd(0x8825)[2] = (59.0, 55.0, 0.0)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    told = file_of(halves(), exif=exif, icc_profile=profile, comment=b"a secret place") + b"more behind the end"
    assert [word in told for word in (b"Invented", b"secret", b"ICC_PROFILE", b"more behind")] == [True] * 4
    kept = await PhotoDecoder().keep(told)
    assert seen(kept).info == {"jfif": 257, "jfif_version": (1, 1), "jfif_unit": 0, "jfif_density": (1, 1)}
    silent = await PhotoDecoder().keep(file_of(halves(), icc_profile=profile))
    assert kept.jpeg == silent.jpeg


async def test_restless_photo_is_kept_small_at_a_lower_quality() -> None:
    noise = np.random.default_rng(7).integers(0, 255, (1200, 1600, 3), np.uint8)
    noise = np.asarray(Image.fromarray(noise).resize((800, 600)).resize((1600, 1200)))
    sent = file_of(Image.fromarray(noise), quality=95)
    kept = await PhotoDecoder().keep(sent)
    assert (len(sent) > 2 * KEPT_BYTES, kept.about.size <= KEPT_BYTES) == (True, True)


async def test_photo_of_an_iphone_is_kept() -> None:
    kept = await PhotoDecoder().keep(sample("paperless-ngx__paperless-ngx/simple.heic"))
    assert (seen(kept).format, kept.about.width, kept.about.height) == ("JPEG", 1345, 447)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", EMPTY),
        ("Это письмо, а не снимок".encode(), SENTENCES[Reason.NOT_A_SCAN]),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', SENTENCES[Reason.NOT_A_SCAN]),
        (b"%PDF-1.7\n1 0 obj\n", SENTENCES[Reason.NOT_A_SCAN]),
        (b"%!PS-Adobe-3.0\n", SENTENCES[Reason.NOT_A_SCAN]),
        (file_of(halves(), "GIF"), SENTENCES[Reason.NOT_A_SCAN]),
        (file_of(halves(), "TIFF"), SENTENCES[Reason.NOT_A_SCAN]),
        (b"\0\0\0\x18ftypheic" + bytes(100), SENTENCES[Reason.NOT_A_SCAN]),
        (file_of(Image.effect_noise((900, 900), 90))[:9000], SENTENCES[Reason.DAMAGED]),
        (file_of(halves(), "PNG")[:-60], SENTENCES[Reason.DAMAGED]),
        (file_of(Image.effect_noise((300, 300), 90).convert("RGB"), "WEBP")[:-900], SENTENCES[Reason.DAMAGED]),
        (file_of(Image.new("1", (30_000, 30_000)), "PNG"), SENTENCES[Reason.TOO_MANY_PIXELS]),
        (bytes(UPLOAD_BYTES + 1), SENTENCES[Reason.TOO_LARGE]),
    ],
    ids=[
        "empty",
        "text",
        "svg",
        "pdf",
        "ps",
        "gif",
        "tiff",
        "heic",
        "cut-jpeg",
        "cut-png",
        "cut-webp",
        "bomb",
        "large",
    ],
)
async def test_file_that_is_no_good_photo_is_refused_with_a_sentence(content: bytes, sentence: str) -> None:
    assert await refusal(content) == sentence


async def test_file_that_is_too_large_starts_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(intake, "_start_on")
    assert await refusal(bytes(UPLOAD_BYTES + 1)) == SENTENCES[Reason.TOO_LARGE]


def test_sentences_name_the_limits_that_hold() -> None:
    assert f"{UPLOAD_BYTES // 1_000_000} MB" in SENTENCES[Reason.TOO_LARGE]
    assert f"{LIMITS.megapixels} million pixels" in SENTENCES[Reason.TOO_MANY_PIXELS]
    assert LIMITS.megabytes * 1_000_000 == UPLOAD_BYTES


async def test_malformed_pictures_are_kept_or_refused_with_a_sentence() -> None:
    kinds = {".jpg", ".png", ".webp", ".heic", ".gif", ".bmp", ".ico"}
    files = sorted(path for path in MALFORMED.rglob("*") if path.suffix in kinds)
    if not files:
        pytest.skip(f"the samples are not there: {MALFORMED}")
    decoder = PhotoDecoder()
    outcomes = await asyncio.gather(*(decoder.keep(path.read_bytes()) for path in files), return_exceptions=True)
    assert [one for one in outcomes if not isinstance(one, KeptPhoto | PhotoRefusedError)] == []
    refused = {path.name: str(one) for path, one in zip(files, outcomes, strict=True) if isinstance(one, Exception)}
    unlike_photos = {path.name for path in files if path.suffix in {".gif", ".bmp", ".ico"}} | {"broken.png"}
    assert {name for name, sentence in refused.items() if sentence == SENTENCES[Reason.NOT_A_SCAN]} == unlike_photos
    assert len(refused) < len(files) / 2


# --- the child


Start = Callable[[bytes, Limits], Any]


def child_that(script: str) -> Start:
    """Starts a child that does this instead of reading a photo."""

    async def start(_untrusted: bytes, _limits: Limits) -> Process:
        code = f"import os, sys, time; say = sys.stdout.buffer.write; {script}; sys.stdout.flush()"
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdin=DEVNULL, stdout=PIPE, limit=1 << 20
        )

    return start


READY = """say(b'{"kind": "ready"}\\n')"""
FOUND = READY + """; say(b'{"kind": "photo", "size": [2, 1]}\\n')"""
DONE = """say(b'{"kind": "done"}\\n')"""


async def test_child_that_keeps_to_the_protocol_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_start_on_photo", child_that(f"{FOUND}; say(b'abcdef'); {DONE}"))
    assert (await PhotoDecoder().keep(b"anything")).about.width == 2


@pytest.mark.parametrize(
    "says",
    [
        READY,
        f"{READY}; {DONE}",
        FOUND,
        f"{FOUND}; say(b'abc')",
        f"{FOUND}; say(b'abcdef')",
        f"{FOUND}; say(b'abcdefgh'); {DONE}",
        READY + f"""; say(b'{{"kind": "photo", "size": [{LONGEST_SIDE + 1}, 1]}}\\n')""",
        READY + """; say(b'{"kind": "photo", "size": [0, 1]}\\n')""",
        READY + """; say(b'{"kind": "pages", "pages": 1}\\n')""",
        READY + """; say(b'{"kind": "photo", "size": [1, 1], "path": "/etc/passwd"}\\n')""",
        f"{READY}; sys.stdout.flush(); os.kill(os.getpid(), {signal.SIGSEGV})",
    ],
)
async def test_child_that_lies_or_dies_fails_the_photo(says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_start_on_photo", child_that(says))
    assert await refusal(b"anything") == SENTENCES[Reason.DAMAGED]


@pytest.mark.parametrize(
    ("end", "reason"), [(signal.SIGKILL, Reason.RAN_OUT_OF_MEMORY), (signal.SIGXCPU, Reason.TOOK_TOO_LONG)]
)
async def test_child_that_uses_too_much_fails_the_photo(
    end: signal.Signals, reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        intake, "_start_on_photo", child_that(f"{READY}; sys.stdout.flush(); os.kill(os.getpid(), {end})")
    )
    assert await refusal(b"anything") == SENTENCES[reason]


async def test_photo_after_a_killed_child_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = PhotoDecoder()
    with monkeypatch.context() as patched:
        patched.setattr(intake, "_start_on_photo", child_that(f"{READY}; sys.stdout.flush(); os.kill(os.getpid(), 9)"))
        with pytest.raises(PhotoRefusedError):
            await decoder.keep(file_of(halves()))
    assert (await decoder.keep(file_of(halves()))).about.width == 300


@pytest.mark.parametrize("fault", [child_that("sys.exit(1)"), None])
async def test_child_that_cannot_start_is_our_fault_and_logged_without_content(
    fault: Start | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_process(_untrusted: bytes, _limits: Limits) -> Process:
        raise BlockingIOError("no process is left")

    monkeypatch.setattr(intake, "_start_on_photo", fault or no_process)
    with capture_logs() as logs:
        assert await refusal(b"anything") == NOT_NOW
    error = "ChildFailedError" if fault else "BlockingIOError"
    assert logs == [{"event": "photo_failed", "error": error, "log_level": "warning"}]


async def test_photo_is_on_no_disk_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[str, int]] = []
    start = intake._start_on

    async def noted(file: Any, limits: Limits, *more: str) -> Process:
        given.append((str(Path(f"/proc/self/fd/{file.fileno()}").readlink()), os.fstat(file.fileno()).st_nlink))
        return await start(file, limits, *more)

    monkeypatch.setattr(intake, "_start_on", noted)
    await PhotoDecoder().keep(file_of(halves()))
    assert given == [("/memfd:photo (deleted)", 0)]


async def test_no_more_photos_are_read_at_once_than_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0

    async def noted(_untrusted: bytes, _limits: Limits) -> Image.Image:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return halves()

    monkeypatch.setattr(photos, "photo", noted)
    decoder = PhotoDecoder()
    await asyncio.gather(*(decoder.keep(b"anything") for _ in range(30)))
    assert most == len(os.sched_getaffinity(0))


async def test_child_ends_when_the_sender_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[Process] = []
    sleeping = child_that(f"{READY}; sys.stdout.flush(); time.sleep(600)")

    async def noted(untrusted: bytes, limits: Limits) -> Process:
        children.append(await sleeping(untrusted, limits))
        return children[0]

    monkeypatch.setattr(intake, "_start_on_photo", noted)
    keeping = asyncio.create_task(PhotoDecoder().keep(b"anything"))
    while not children:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.wait([keeping])
    assert (keeping.cancelled(), children[0].returncode) == (True, -signal.SIGKILL)


def test_decoder_is_what_the_desk_asks_for() -> None:
    decoder: Photos = PhotoDecoder()
    assert isinstance(decoder, PhotoDecoder)
