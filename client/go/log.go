package berth

// logger is what the package says beside its errors: opens, closes, deaths and slow requests. log_slog.go connects it.
type logger interface {
	debug(msg string, args ...any)
	warn(msg string, args ...any)
}

type silent struct{}

func (silent) debug(string, ...any) {}
func (silent) warn(string, ...any)  {}
