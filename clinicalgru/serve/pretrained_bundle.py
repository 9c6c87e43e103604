"""What the bundle of a pretrained encoder holds."""

from __future__ import annotations

from clinicalgru.disclosure import format_count
from clinicalgru.model.estimators.pretrained import PretrainedEncoder
from clinicalgru.serve.integrity import seal
from clinicalgru.serve.manifest import PRETRAINED_FORMAT, PretrainedManifest, versions


def pretrained_files(encoder: PretrainedEncoder) -> dict[str, bytes]:
    """Give the content of each file of the bundle; equal encoders give equal bytes.

    Parameters
    ----------
    encoder : PretrainedEncoder
        The encoder.

    Returns
    -------
    dict of str to bytes
        Content by file name.
    """
    arrays = {name: tensor.contiguous().numpy() for name, tensor in encoder.network.state_dict().items()}
    manifest = PretrainedManifest(
        format=PRETRAINED_FORMAT,
        network_spec=encoder.network.spec.to_dict(),
        variables=[variable.to_dict() for variable in encoder.variables],
        static_variables=[variable.to_dict() for variable in encoder.static_variables],
        trained_on=dict(encoder.trained_on),
        history=encoder.history,
        versions=versions(),
        sha256={},
    )
    return seal(manifest, arrays | encoder.seen_patients.to_arrays(), _card(encoder))


def _card(encoder: PretrainedEncoder) -> str:
    trained = encoder.trained_on
    best = min(encoder.history, key=lambda entry: entry["val_loss"])
    names = ", ".join(variable.name for variable in encoder.variables)
    simulated = "**Trained on simulated patients.**\n\n" if trained["simulated"] else ""
    return f"""# Pretrained encoder

{simulated}Weights from self-supervised training, from clinicalgru: what is measured next, when, and how much. No
outcome was used. It predicts no risk; estimators start from it (`pretrained=`), by the names of the variables.

| trained on | |
|---|---|
| source | {trained["source"]} |
| stays, patients | {format_count(trained["stays"])}, {format_count(trained["patients"])} |
| measurements | {trained["measurements"]:,} |
| best epoch | {best["epoch"]:.0f} (validation loss {best["val_loss"]:.4f}) |

Variables: {names}
"""
