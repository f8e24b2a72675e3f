"""The peers of `shoal bench peers`: the same job on the same topic in Kafka Streams, Quix Streams and Faust."""
