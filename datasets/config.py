"""Flags about data: where it lies and how it is fed. Facts about a data set live in its `INFO`."""

import dataclasses

from utils.flags import flag

_NO_HDFS = "TensorFlow 2.21 cannot read HDFS; copy the files and give --data_dir_local."


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the data lies, how it is fed and how much of it validates."""

    data_disk: str = flag(
        "local", "Where the data files are; hdfs is refused.", choices=("local", "hdfs")
    )
    data_hdfs_host: str | None = flag(None, "Host of an HDFS cluster.", inert=_NO_HDFS)
    data_dir_local: str | None = flag(
        None,
        "Folder of the data files. Not given: data_dir_local_<data set> in path.conf, then "
        "$FLOWPRESS_DATA.",
        path=True,
    )
    data_dir_hdfs: str | None = flag(None, "Folder of the data files on HDFS.", inert=_NO_HDFS)
    cycle_length: int = flag(
        4,
        "Number of files read in turns.",
        lower=1,
        inert="the built-in data sets are held in memory.",
    )
    nb_threads: int = flag(
        8, "Batches prepared at the same time.", lower=1, upper=1024, resumable=True
    )
    buffer_size: int = flag(
        1024,
        "Size of the shuffle buffer.",
        lower=1,
        inert="every epoch is a full permutation of the training split.",
    )
    prefetch_size: int = flag(
        8,
        "Batches kept ready ahead of training.",
        unit="batches",
        lower=0,
        upper=4096,
        resumable=True,
    )
    val_fraction: float = flag(
        0.1,
        "Share of the training split held out for validation by learners that choose something "
        "on held-out data. The test split is never used for that.",
        lower=0.0,
        upper=0.5,
        lower_open=True,
    )
