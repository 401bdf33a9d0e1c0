"""What ``classifier.json`` may hold: fields of the right types, within bounds, that fit together."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class _Share(_Part):
    hits: int = Field(ge=0)
    of: int = Field(ge=1)

    @model_validator(mode="after")
    def _check(self) -> _Share:
        if self.hits > self.of:
            raise ValueError("more hits than there were clips")
        return self


class _Accuracy(_Share):
    low: float = Field(0.0, ge=0, le=1)
    high: float = Field(1.0, ge=0, le=1)
    by_class: dict[str, _Share] = Field(default_factory=dict)
    confusion: list[list[Annotated[int, Field(ge=0)]]] | None = None


class _Training(_Part):
    finished: bool


class _Data(_Part):
    source: str | None
    training_clips: int | None = Field(None, ge=0)
    stride: int = Field(1, ge=1)


class ClassifierFile(_Part):
    """What of ``classifier.json`` is used, by its fields' names."""

    classes: list[str] = Field(min_length=2)
    size: int = Field(ge=1, le=4096)
    frames: int = Field(ge=1, le=4096)
    widths: list[Annotated[int, Field(ge=1, le=65_536)]] = Field(min_length=1)
    weights: str
    accuracy: dict[str, _Accuracy | float] | None = None
    training: _Training | None = None
    data: _Data | None = None

    @model_validator(mode="after")
    def _check(self) -> ClassifierFile:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is there twice")
        for name, measured in (self.accuracy or {}).items():
            if name == "chance" and not (isinstance(measured, float) and 0 <= measured <= 1):
                raise ValueError("accuracy.chance is no share")
            if isinstance(measured, _Accuracy):
                count = len(self.classes)
                rows = [count] * count if measured.confusion is None else [len(row) for row in measured.confusion]
                if rows != [count] * count or not set(measured.by_class) <= set(self.classes):
                    raise ValueError(f"accuracy.{name} is of other classes")
        if self.accuracy is not None and not isinstance(self.accuracy.get("clips"), _Accuracy):
            raise ValueError("accuracy.clips is missing")
        return self
