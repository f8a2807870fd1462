package main

import (
	"context"
	"fmt"

	berth "github.com/berth-project/berth/client/go"
)

func berthSubjects() ([]subject, func(), error) {
	ctx, cancel := context.WithCancel(context.Background())
	client, err := berth.Dial(ctx, berth.WithPrivate())
	if err != nil {
		return nil, cancel, err
	}
	stop := func() {
		client.Close()
		cancel()
	}
	echo, err := client.Open(ctx, "echo", nil)
	if err != nil {
		return nil, stop, err
	}
	raw := func() (func([]byte) error, error) {
		return func(payload []byte) error {
			reply, err := echo.CallRaw(ctx, "echo", payload)
			return whole(reply, payload, err)
		}, nil
	}
	appended := func() (func([]byte) error, error) {
		room := make([]byte, 0, 1024)
		return func(payload []byte) error {
			reply, err := echo.CallAppend(ctx, room, "echo", payload)
			return whole(reply, payload, err)
		}, nil
	}
	encoded := func() (func([]byte) error, error) {
		request, reply := make([]byte, payloadSize), make([]byte, 0, payloadSize)
		return func([]byte) error { return echo.Call(ctx, "echo", request, &reply) }, nil
	}
	return []subject{
		{name: "berth CallRaw", newCaller: raw, concurrent: true, pausing: true},
		{name: "berth CallAppend", newCaller: appended, concurrent: true, pausing: true},
		{name: "berth Call (CBOR both ways)", newCaller: encoded, concurrent: true, pausing: true},
	}, stop, nil
}

func whole(reply, payload []byte, err error) error {
	if err == nil && len(reply) != len(payload) {
		err = fmt.Errorf("%d bytes came back", len(reply))
	}
	return err
}
