"""What a trading process, a model server or a service imports: who acts on this key?

from controller.client import Client

client = Client.from_file("live/share.json", baseline="ifd-1.0")
version = client.assign("NQ-0931").version
"""

from controller.blend.blend import Blended
from controller.blend.columns import Signals
from controller.blend.legs import Signal
from controller.client.client import Batch, Client, ClientError, Health
from controller.client.handover import Engine, Handover, Leave
from controller.client.parameters import Parameters, ParametersError
from controller.client.record import Recorder, RecordError
from controller.traffic.handover import Role
from controller.traffic.route import Assignment, Reason, Side
from controller.traffic.snapshot import Account, Holding

__all__ = [
    "Account",
    "Assignment",
    "Batch",
    "Blended",
    "Client",
    "ClientError",
    "Engine",
    "Handover",
    "Health",
    "Holding",
    "Leave",
    "Parameters",
    "ParametersError",
    "Reason",
    "RecordError",
    "Recorder",
    "Role",
    "Side",
    "Signal",
    "Signals",
]
