package main

import (
	"context"
	"errors"
	"sync"

	berth "github.com/berth-project/berth/client/go"
)

// pool is a number of contexts; one that was lost is replaced when it is next wanted.
type pool struct {
	client *berth.Client
	config any
	idle   chan *berth.Context // nil: to be opened

	closing sync.WaitGroup
}

func newPool(ctx context.Context, client *berth.Client, database string, n int) (*pool, error) {
	p := &pool{client: client, idle: make(chan *berth.Context, n)}
	if database != "" {
		p.config = map[string]any{"path": database}
	}
	for i := 0; i < n; i++ {
		c, err := p.open(ctx)
		if err != nil {
			return nil, err // the client's close takes the others along
		}
		p.idle <- c
	}
	return p, nil
}

func (p *pool) open(ctx context.Context) (*berth.Context, error) {
	return p.client.Open(ctx, "sqlite", p.config)
}

// with runs use on a context that is nobody else's meanwhile.
func (p *pool) with(ctx context.Context, use func(*berth.Context) error) error {
	var c *berth.Context
	select {
	case c = <-p.idle:
	case <-ctx.Done():
		return ctx.Err()
	}
	if c == nil {
		var err error
		if c, err = p.open(ctx); err != nil {
			p.idle <- nil
			return err
		}
	}
	err := use(c)
	if errors.Is(err, berth.ErrWorkerDied) {
		p.discard(c)
		c = nil
	}
	p.idle <- c
	return err
}

func (p *pool) discard(c *berth.Context) {
	p.closing.Add(1)
	go func() {
		defer p.closing.Done()
		c.Close(context.Background())
	}()
}

// close takes every context back, and closes it.
func (p *pool) close(ctx context.Context) (err error) {
	for i := 0; i < cap(p.idle); i++ {
		select {
		case c := <-p.idle:
			if c == nil {
				continue
			}
			if _, closed := c.Close(ctx); closed != nil {
				err = closed
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.closing.Wait()
	return err
}
