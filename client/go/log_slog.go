//go:build go1.21

package berth

import "log/slog"

// WithLogger has the package log: deaths of workers, requests that take long and lost events as warnings, opens and
// closes for debugging. Without it nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) { o.log = slogger{l} }
}

type slogger struct{ to *slog.Logger }

func (s slogger) debug(msg string, args ...any) { s.to.Debug(msg, args...) }
func (s slogger) warn(msg string, args ...any)  { s.to.Warn(msg, args...) }
