"""Extension servers: what APIServices say is served by somebody else, where that is, and what its documents are."""

from .apiservices import APIService as APIService
from .apiservices import Routes as Routes
