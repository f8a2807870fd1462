package main

import (
	"fmt"
	"runtime"
	"sort"
	"sync"
	"time"
)

// result is a row. Latencies are nanoseconds, rates calls per second; rates are the medians of the rounds.
type result struct {
	Name          string          `json:"name"`
	P50           float64         `json:"p50_ns"`
	P99           float64         `json:"p99_ns"`
	AsleepP50     float64         `json:"asleep_p50_ns,omitempty"`
	AsleepP99     float64         `json:"asleep_p99_ns,omitempty"`
	Rates         map[int]float64 `json:"calls_per_s,omitempty"`
	AllocsPerCall float64         `json:"allocs_per_call"`

	hot, asleep []float64
	rates       map[int][]float64
}

func newResult(name string) *result {
	return &result{Name: name, Rates: map[int]float64{}, rates: map[int][]float64{}}
}

func (r *result) measure(s subject, p plan) error {
	if err := r.latencies(s, p); err != nil {
		return err
	}
	if !s.concurrent {
		return nil
	}
	for _, n := range concurrencies {
		rate, err := callsPerSecond(s, n, p.rate)
		if err != nil {
			return err
		}
		r.rates[n] = append(r.rates[n], rate)
	}
	return nil
}

func (r *result) latencies(s subject, p plan) error {
	call, err := s.newCaller()
	if err != nil {
		return err
	}
	payload := make([]byte, payloadSize)
	if err := call(payload); err != nil {
		return err
	}
	last := time.Now()
	for end := last.Add(p.latency); last.Before(end); {
		if err := call(payload); err != nil {
			return err
		}
		now := time.Now()
		r.hot = append(r.hot, float64(now.Sub(last)))
		last = now
	}
	for i := 0; s.pausing && i < p.paced; i++ {
		time.Sleep(p.pause)
		began := time.Now()
		if err := call(payload); err != nil {
			return err
		}
		r.asleep = append(r.asleep, float64(time.Since(began)))
	}
	return nil
}

func (r *result) conclude() {
	r.P50, r.P99 = quantile(r.hot, 0.5), quantile(r.hot, 0.99)
	r.AsleepP50, r.AsleepP99 = quantile(r.asleep, 0.5), quantile(r.asleep, 0.99)
	for n, rates := range r.rates {
		r.Rates[n] = quantile(rates, 0.5)
	}
}

func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sort.Float64s(values)
	return values[int(q*float64(len(values)-1))]
}

func callsPerSecond(s subject, goroutines int, duration time.Duration) (float64, error) {
	callers := make([]func([]byte) error, goroutines)
	for i := range callers {
		call, err := s.newCaller()
		if err != nil {
			return 0, err
		}
		callers[i] = call
	}
	var (
		group  sync.WaitGroup
		counts = make([]int, goroutines)
		errs   = make([]error, goroutines)
		began  = time.Now()
		end    = began.Add(duration)
	)
	for i := range callers {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			payload, count := make([]byte, payloadSize), 0
			for time.Now().Before(end) && errs[i] == nil {
				errs[i] = callers[i](payload)
				count++
			}
			counts[i] = count
		}(i)
	}
	group.Wait()
	took, sum := time.Since(began).Seconds(), 0
	for i, err := range errs {
		if err != nil {
			return 0, err
		}
		sum += counts[i]
	}
	return float64(sum) / took, nil
}

// allocations counts this process's, the reply's included.
func allocations(s subject, calls int) (float64, error) {
	call, err := s.newCaller()
	if err != nil {
		return 0, err
	}
	payload := make([]byte, payloadSize)
	var before, after runtime.MemStats
	for i := 0; i < calls/10; i++ {
		if err := call(payload); err != nil {
			return 0, err
		}
	}
	runtime.ReadMemStats(&before)
	for i := 0; i < calls; i++ {
		if err := call(payload); err != nil {
			return 0, err
		}
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(calls), nil
}

func print(results []*result, took time.Duration) {
	fmt.Printf("%s, %d CPUs, GOMAXPROCS %d, %.0f s; %d bytes there and back\n\n", runtime.Version(), runtime.NumCPU(),
		runtime.GOMAXPROCS(0), took.Seconds(), payloadSize)
	fmt.Printf("%-34s %10s %10s %11s %11s %9s %9s %9s %7s\n", "", "p50 ns", "p99 ns", "after pause", "p99", "1/s", "1/s", "1/s", "allocs")
	fmt.Printf("%-34s %10s %10s %11s %11s %9s %9s %9s %7s\n", "goroutines", "1", "1", "1", "1", "1", "8", "64", "a call")
	for _, r := range results {
		fmt.Printf("%-34s %10s %10s %11s %11s %9s %9s %9s %7.2f\n", r.Name, number(r.P50), number(r.P99), number(r.AsleepP50),
			number(r.AsleepP99), number(r.Rates[1]), number(r.Rates[8]), number(r.Rates[64]), r.AllocsPerCall)
	}
}

func number(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", v)
}
