"""The field's file formats, one a module; nothing here knows of datasets or tasks."""
