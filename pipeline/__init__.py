"""mic-adapt: adapt a day-trained street segmenter to night, fog, rain and snow with MIC, without target labels."""

from pipeline.run.imports import end_quietly, for_a_command
from pipeline.run.privacy import keep_private

__version__ = "0.1.0"

if for_a_command():
    end_quietly()
keep_private()
