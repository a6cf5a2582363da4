"""What a trading process, a model server or a service imports: who acts on this key?

from controller.client import Client

client = Client.from_file("live/share.json", baseline="ifd-1.0")
version = client.assign("NQ-0931").version
"""

from controller.blend.blend import Blended
from controller.blend.columns import Signals
from controller.blend.legs import Signal
from controller.client.client import Batch, Client, ClientError, Health
from controller.client.record import Recorder, RecordError
from controller.traffic.route import Assignment, Reason, Side

__all__ = [
    "Assignment",
    "Batch",
    "Blended",
    "Client",
    "ClientError",
    "Health",
    "Reason",
    "RecordError",
    "Recorder",
    "Side",
    "Signal",
    "Signals",
]
