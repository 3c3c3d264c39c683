"""Messages that flow, as values: submissions, detections, decisions and their parts. Neither bytes nor topics."""
