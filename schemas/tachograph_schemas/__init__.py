"""The storage contract: names, settings lookup, OTLP proto, SQL migrations, named queries, accounts.

Imports no other part of Tachograph. The light SDK uses :mod:`.names` and :mod:`.settings` only;
:mod:`.store`, :mod:`.queries` and :mod:`.prices` need the ``server`` extra.
"""
