"""Bulk jobs: a source of any number of images -> sharded archives with a manifest, and back.

A job is a list of shards (``codec.bulk.plan``), told by the source's listing alone, and one picklable
callable that makes a shard of its description (``codec.bulk.work``). Whatever maps the one over the other is
an engine: Ray Data (``codec.bulk.ray_engine``), a loop (``codec.bulk.jobs``), Beam, Spark.
"""
