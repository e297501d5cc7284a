"""A run's model card: README.md with the front matter that the Hugging Face hub reads, made from the run's manifest.

It is there to be read, completed and published, so it is no part of the run's digests: changing it damages no run.
Names come from tables and flags of anyone: in the front matter YAML quotes them, in the text they are code spans.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from data.lines import printable

CARD = "README.md"
LIBRARY, TASK = "embed-regress", "tabular-regression"
METRICS = {  # of run.json
    "d2": "D², from the training mean (0) to the labels’ own entropy (1)",
    "d2_trials": "D² by trials",
    "log_loss": "log loss",
    "log_loss_mean": "log loss of predicting the training mean",
    "log_loss_floor": "log loss of the labels themselves, the floor",
    "spearman": "Spearman’s rank correlation",
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "sera": "SERA, squared error of rare posts",
    "mae_rare": "mean absolute error of the rare rates",
    "lift": "lift in the top 5 %",
    "bias": "mean prediction / mean rate",
}
Manifest = Mapping[str, Any]


def card(manifest: Manifest) -> str:
    """The text of README.md."""
    front = yaml.safe_dump(_front(manifest), sort_keys=False, allow_unicode=True, width=10_000)
    parts = [_summary, _use, _scores, _data, _making, _limits]
    return "\n".join([f"---\n{front}---\n", *(part(manifest) for part in parts)])


def _front(m: Manifest) -> dict[str, Any]:
    """The license is left out: nobody has told it."""
    kinds = sorted({str(info["spec"].get("kind")) for info in _encoders(m).values()})
    target, posts = printable(m["target"]["name"]), m["posts"]
    dataset = {
        "type": "posts",
        "name": printable(Path(posts["path"]).name),
        "split": "out-of-fold",
        "revision": posts["sha256"],
        "args": {"rows": posts["n"], "scored": m["target"]["n"], "target": target},
    }
    result = {"task": {"type": TASK, "name": f"rate {target}"}, "dataset": dataset, "metrics": _metrics(m["metrics"])}
    return {
        "library_name": LIBRARY,
        "pipeline_tag": TASK,
        "tags": [LIBRARY, TASK, "embeddings", *map(printable, [*kinds, m["model"]])],
        "metrics": [name for name in METRICS if m["metrics"].get(name) is not None],
        "model-index": [{"name": printable(m["name"]), "results": [result]}],
    }


def _encoders(m: Manifest) -> dict[str, Any]:
    """The encoders that the model reads, as the manifest describes them; none for the mean."""
    return {name: m["encoders"][name] for name in m["features"] if name in m["encoders"]}


def _metrics(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, text in METRICS.items():
        if scores.get(name) is not None:
            interval = {"args": {"low": scores["d2_low"], "high": scores["d2_high"]}} if name == "d2" else {}
            found.append({"type": name, "name": text, "value": scores[name], **interval})
    return found


def _summary(m: Manifest) -> str:
    verdict, reads = m["verdict"], ", ".join(map(code, m["features"])) or "nothing: it predicts the mean of all posts"
    lines = [
        f"# {code(m['name'])}",
        "",
        f"Predicts the rate {code(m['target']['name'])} of a post. It reads {reads}.",
        "",
        f"**{escaped(verdict['name'])}**: {escaped(verdict['why'])}",
    ]
    if verdict["name"] != "USEFUL":
        lines += ["", "**Its predictions are not shown to be better than one number for every post: do not use them.**"]
    return "\n".join([*lines, ""])


def _use(m: Manifest) -> str:
    columns = sum(info["dim"] for info in _encoders(m).values())
    width = f"{columns}): the encoders' vectors side by side, NaN where a post has none" if columns else "any)"
    return f"""## Use

For the rates of posts like those it was fitted on: to order them, and to tell how large a rate is to be expected. Not
for decisions on single people, nor to say why a post does well: what goes along with a rate need not cause it.

```
python -m regress.predict FOLDER posts.csv --out predictions.csv
```

```python
import regress

regressor = regress.load("FOLDER")  # a fitted scikit-learn estimator
rates = regressor.predict(X)  # X float32 (n, {width}
```
"""


def _scores(m: Manifest) -> str:
    scores, folds = m["metrics"], m["folds"]
    rows = [f"| {text} | {_number(scores.get(name))} |" for name, text in METRICS.items()]
    interval = f"| 95 % interval of D² | {_number(scores['d2_low'])} … {_number(scores['d2_high'])} |"
    way = "in the order of time" if folds["time"] else "posts of one group together" if folds["group"] else "stratified"
    repeats = "" if folds["repeats"] == 1 else f", {folds['repeats']} times"
    leaks = [
        f"- D² on {escaped(kind)} folds: {_number(found['d2'])}, {found['n']:,} posts"
        for kind, found in (m["leakage"] or {}).items()
    ]
    return "\n".join(
        [
            "## Scores",
            "",
            f"Of {m['target']['n']:,} posts, each predicted by a model that was not fitted on it: {folds['n']} folds"
            f"{repeats}, {way}; {folds['purged']:,} training rows left out as copies of tested posts.",
            "",
            "| score | |",
            "| --- | ---: |",
            *[rows[0], interval, *rows[1:]],
            "",
            *([*leaks, ""] if leaks else []),
        ]
    )


def _data(m: Manifest) -> str:
    posts, target = m["posts"], m["target"]
    least = f"{target['min_trials']:,} or more {code(target['trials'])}"
    return f"""## Training data

- table: {code(Path(posts["path"]).name)}, {posts["n"]:,} rows, SHA-256 {code(posts["sha256"])}
- target: {code(target["name"])}; {target["n"]:,} posts with {least}, {target["zeros"]:,} of them with a rate of 0
"""


def _making(m: Manifest) -> str:
    encoders = [
        f"- encoder {code(name)}: {code(info['spec'].get('kind'))}, {info['dim']:,} columns, "
        f"weights {code(info['spec'].get('weights') or '–')}"
        for name, info in _encoders(m).items()
    ]
    settings = [f"- {code(name)} = {code(value)}" for name, value in m["settings"].items()]
    return "\n".join(
        [
            "## How it was made",
            "",
            f"- model {code(m['model'])}, loss {code(m['loss'])}, oversampling {code(m['oversample'])}, "
            f"calibration {code(m['calibration'])}, seed {m['folds']['seed']}",
            *settings,
            *encoders,
            *(f"- note: {escaped(note)}" for note in m["notes"]),
            f"- {', '.join(f'{code(name)} {code(version)}' for name, version in m['environment'].items())}",
            "",
            "`run.json` holds all of it, and the SHA-256 of every other file but this one.",
            "",
        ]
    )


def _limits(m: Manifest) -> str:
    lines = [
        "the scores are of models fitted on a part of the posts each; the model kept here was fitted on all of them",
        f"mean prediction / mean rate is {_number(m['metrics'].get('bias'))} on these posts; other posts may have "
        "another level",
        "it learned from who saw these posts, and will repeat what they preferred",
        "the encoders are frozen, with the training data, the biases and the licences that they came with",
        "no licence is named: name one in the front matter before the model is passed on",
    ]
    if m["intervals"]:
        lines.insert(2, "the 90 % intervals are for the rate that a post will show, and hold over posts like these")
    return "\n".join(["## Limits", "", *(f"- {line}" for line in lines), ""])


def _number(value: Any) -> str:
    return "–" if value is None else f"{value + 0.0:.4f}"


def code(value: Any) -> str:
    """Untrusted text as a code span of one line: no markup, no HTML, no end of it in the text itself."""
    text = printable(str(value)).strip() or "–"
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def escaped(text: str) -> str:
    """Untrusted prose as one line that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>&|~#!$@])", r"\\\1", printable(text))
