"""Find the folder in which a data set lies: `--data_dir_local`, path.conf, $FLOWPRESS_DATA."""

import os
from pathlib import Path

from datasets.config import DataConfig
from datasets.dataset_info import DatasetInfo
from utils.errors import InputError
from utils.regular_file import read_text
from utils.schema import brief

PATH_CONF = Path(__file__).resolve().parent.parent / "path.conf"
_DATA_ROOT = "FLOWPRESS_DATA"
_MAX_BYTES = 1 << 20


def read_path_conf(path: Path = PATH_CONF) -> dict[str, str]:
    """Read the `key = value` lines of a path.conf.

    Args:
        path: the file; it need not exist.

    Returns:
        The values by key. `#` starts a comment; the value `None` means not set and is left out.

    Raises:
        InputError: for a line without `=` or a key, a key that stands twice, bytes that are not
            UTF-8, or a path that is no file.
    """
    values: dict[str, str] = {}
    if not path.exists() and not path.is_symlink():
        return values
    text = read_text(path, _MAX_BYTES)
    for number, line in enumerate(text.split("\n"), start=1):
        setting = line.split("#", 1)[0].strip()
        if not setting:
            continue
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not equals or not key or "\0" in value:
            raise InputError(
                f"{path}, line {number}: expected `key = value`. Received: {brief(line.strip())}. "
                "See path.conf.template."
            )
        if key in values:
            raise InputError(
                f"{path}, line {number}: {key!r} stands twice. Remove one of the lines."
            )
        if value not in ("", "None"):
            values[key] = value.strip("\"'")
    return values


def find_directory(info: DatasetInfo, config: DataConfig) -> Path:
    """Find the folder that holds all files of a data set, each of the right size.

    An explicit place (`--data_dir_local`, then `data_dir_local_<name>` in path.conf) is the only
    one looked at; without one it is `$FLOWPRESS_DATA/<folder>`, where path.conf may set
    FLOWPRESS_DATA, too.

    Args:
        info: the data set's facts.
        config: the flags about data.

    Returns:
        The folder with the files.

    Raises:
        InputError: if there is none; says which files were wanted and where they were looked for.
    """
    if config.data_disk == "hdfs":
        raise InputError(
            "`data_disk` must be 'local': TensorFlow 2.21 cannot read HDFS. Received: 'hdfs'. "
            "Copy or mount the files and give --data_dir_local."
        )
    place, said_by = _place(info, config)
    wanted = ", ".join(name for name, _ in info.files)
    if place is None:
        raise InputError(
            f"{info.title}: no data folder is set. Wanted: {wanted}. Give --data_dir_local=FOLDER, "
            f"write `data_dir_local_{info.name} = FOLDER` into path.conf, or set "
            f"{_DATA_ROOT} to a folder with {info.folder}/ in it. {info.source}"
        )
    folders = [place, *(place / subfolder for subfolder in info.subfolders)]
    for folder in folders:
        if all((folder / name).is_file() for name, _ in info.files):
            _check_sizes(folder, info)
            return folder
    missing = _missing(folders, info)
    looked = " and ".join(str(folder) for folder in folders)
    raise InputError(
        f"{info.title}: {missing} not found. Wanted: {wanted}. "
        f"Looked in {looked} (from {said_by}).{_packed(place)} {info.source}"
    )


def _packed(place: Path) -> str:
    """Say how to unpack where the files lie packed, with the script that does it."""
    scripts = sorted(place.glob("unpack*.py"))
    if not scripts:
        return ""
    return (
        f" They seem to be packed: run `python {scripts[0]} FOLDER` and give that folder with "
        "--data_dir_local."
    )


def _place(info: DatasetInfo, config: DataConfig) -> tuple[Path | None, str]:
    """Give the folder to look in, and what named it."""
    if config.data_dir_local:
        return Path(config.data_dir_local).expanduser(), "--data_dir_local"
    settings = read_path_conf()
    key = f"data_dir_local_{info.name}"
    if key in settings:
        return Path(settings[key]).expanduser(), f"{key} in path.conf"
    root = os.environ.get(_DATA_ROOT) or settings.get(_DATA_ROOT)
    if root:
        return Path(root).expanduser() / info.folder, _DATA_ROOT
    return None, ""


def _missing(folders: list[Path], info: DatasetInfo) -> str:
    if not folders[0].is_dir():
        return f"the folder {folders[0]} was"
    names = [
        name for name, _ in info.files if not any((folder / name).is_file() for folder in folders)
    ]
    return f"{', '.join(names) or 'a folder with all files'} was"


def _check_sizes(folder: Path, info: DatasetInfo) -> None:
    for name, size in info.files:
        actual = (folder / name).stat().st_size
        if size is not None and actual != size:
            ends = f"truncated at byte {actual}" if actual < size else f"too long from byte {size}"
            raise InputError(
                f"{folder / name}: {ends}: the file has {actual} bytes, it must have {size}. "
                f"Fetch it again. {info.source}"
            )
