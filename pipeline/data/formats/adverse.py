"""Real pictures of night and weather: ACDC, Dark Zurich, Nighttime Driving, Foggy Zurich; labels are train ids."""

from __future__ import annotations

from pipeline.data.formats.listing import read_lines, some
from pipeline.data.formats.official import Files, Official, each_split
from pipeline.params.data import AcdcData, DarkZurichData, FoggyZurichData, NighttimeDrivingData

ACDC_GT = "gt_trainval.zip"
DARK_ZURICH_ZIPS = (
    "Dark_Zurich_train_anon.zip, Dark_Zurich_val_anon.zip or Dark_Zurich_test_anon_withoutGt.zip"
)


def acdc(data: AcdcData, files: Official) -> None:
    """rgb_anon/<condition>/<split>/<sequence>/*_rgb_anon.png, gt/.../*_gt_labelTrainIds.png."""
    for role, split in each_split(data):
        clear = split.endswith("_ref")
        ending = "_rgb_ref_anon.png" if clear else "_rgb_anon.png"
        for condition in data.conditions:
            pictures = Files(f"rgb_anon/{condition}/{{split}}", ending, "rgb_anon_trainvaltest.zip")
            labels = Files(f"gt/{condition}/{{split}}", "_gt_labelTrainIds.png", ACDC_GT)
            images = files.find(role, pictures, split)
            labelled = labels if split in ("train", "val") else None
            files.add(role, images, "clear" if clear else condition, labelled, split)


def dark_zurich(data: DarkZurichData, files: Official) -> None:
    """rgb_anon/<split>/<time>/<sequence>/*_rgb_anon.png; gt/val/night/ holds the only labels."""
    labels = Files("gt/{split}/night", "_gt_labelTrainIds.png", "Dark_Zurich_val_anon.zip")
    for role, split in each_split(data):
        times = data.times if split == "train" else ("day" if split.endswith("_ref") else "night",)
        for time in times:
            pictures = Files(f"rgb_anon/{{split}}/{time}", "_rgb_anon.png", DARK_ZURICH_ZIPS)
            images = files.find(role, pictures, split)
            files.add(role, images, time, labels if split == "val" else None, split)


def nighttime_driving(data: NighttimeDrivingData, files: Official) -> None:
    """leftImg8bit/test/night/*_leftImg8bit.png, gtCoarse_daytime_trainvaltest/test/night/*_labelTrainIds.png."""
    archive = "NighttimeDrivingTest.zip"
    pictures = Files("leftImg8bit/{split}/night", "_leftImg8bit.png", archive)
    labels = Files("gtCoarse_daytime_trainvaltest/{split}/night", "_gtCoarse_labelTrainIds.png", archive)
    for role, split in each_split(data):
        files.add(role, files.find(role, pictures, split), "night", labels, split)


def foggy_zurich(data: FoggyZurichData, files: Official) -> None:
    """RGB/<sequence>/<id>.png, gt_labelTrainIds/ likewise; lists_file_names/RGB_<split>_filenames.txt makes splits."""
    labels = Files("gt_labelTrainIds", ".png", "Foggy_Zurich.zip")
    if not data.train and not data.val:
        return
    images = files.find("train", Files("RGB", ".png", "Foggy_Zurich.zip"))
    for role, split in each_split(data):
        names = _split_of_foggy_zurich(role, split, files)
        chosen = {name: images[name] for name in names if name in images}
        if absent := [name for name in names if images and name not in images]:
            files.report(
                f"{files.listing.key}.{role}: {len(absent)} of the {len(names)} pictures of split {split!r} "
                f"are not in {files.root}/RGB ({some(absent)}): unpack Foggy_Zurich.zip again"
            )
        files.add(role, chosen, "fog", labels if split.startswith("test") else None, split)


def _split_of_foggy_zurich(role: str, split: str, files: Official) -> list[str]:
    folder, start, ending = "lists_file_names", "RGB_", "_filenames.txt"
    path = files.tree.file(folder, f"{start}{split}{ending}")
    if path is None:
        there = [n for n in files.tree.files(folder) if n.startswith(start) and n.endswith(ending)]
        splits = [n.removeprefix(start).removesuffix(ending) for n in there]
        files.report(
            f"{files.listing.key}.{role}: split {split!r} has no {folder}/{start}{split}{ending} in {files.root} "
            f"(splits there: {some(splits) or 'none'}): name one of these, or put Foggy_Zurich.zip there"
        )
        return []
    lines = read_lines(path, f"{files.listing.key}.{role}", files.listing)
    return [line.removeprefix("RGB/") for line in lines]
