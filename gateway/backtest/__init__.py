"""Backtest: recorded history before the gateway's own judging code, under a candidate policy; nothing is activated."""
