"""Images, audio and files SDKs take out of inputs and outputs: announced, uploaded to a signed address, kept in a directory."""
